"""The gRPC services: convert messages to the domain and back, and nothing else."""
