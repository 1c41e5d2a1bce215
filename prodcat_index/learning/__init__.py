"""What is learned from labels: a projection in which categories are apart."""
