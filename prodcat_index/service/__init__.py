"""HTTP API and the page: an index that is asked over the network."""
