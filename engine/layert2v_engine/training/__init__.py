"""Training, stage by stage: autoencoder, matte, joint, multi."""
