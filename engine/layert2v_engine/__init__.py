"""The engine: turns a request into a layer stack. Knows torch and EXR; knows no gRPC, no jobs, no database."""
