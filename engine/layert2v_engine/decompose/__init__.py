"""Footage to a layer stack: subjects, clean plate, matte and shadow, solved so that it adds up."""
