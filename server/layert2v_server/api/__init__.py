"""The gRPC services: message to domain and back, and nothing else."""
