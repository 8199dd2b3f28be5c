"""What is in `deploy/`, as far as it can be checked without Docker or Kubernetes."""
