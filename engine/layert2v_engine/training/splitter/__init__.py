"""Training of the splitter: frames with true layers, corruption, the phase and its stage."""
