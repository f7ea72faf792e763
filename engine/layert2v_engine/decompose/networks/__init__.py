"""The two small networks that ship with the product, run by OpenCV."""
