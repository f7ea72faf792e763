"""From a request to a layer stack. Knows torch and EXR; knows no gRPC, no jobs, no database."""
