"""Evaluation of a model: samples, classifiers, metrics, one report."""
