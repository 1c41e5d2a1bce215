"""What is fitted to labels: projection, linear head, hubness correction, fine-tuned encoders."""
