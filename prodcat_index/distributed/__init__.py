"""Beyond one machine: bulk work on a cluster, and stores that hold the vectors of an index."""
