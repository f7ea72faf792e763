"""The request to generate a stack, the models that can, and one pure validation.

Knows the rules of a request, not how it is carried out.
"""

from layert2v.spec.generate import COMPRESSIONS, GenerateSpec
from layert2v.spec.json_form import model_from_json, model_to_json, spec_from_json, spec_to_json
from layert2v.spec.model import CLEAN_CONDITIONING, NO_SHADOWS, ModelInfo, fit_to_model, resolve
from layert2v.spec.validation import FieldViolation, check_compression, check_range, validate

__all__ = [
    "CLEAN_CONDITIONING",
    "COMPRESSIONS",
    "NO_SHADOWS",
    "FieldViolation",
    "GenerateSpec",
    "ModelInfo",
    "check_compression",
    "check_range",
    "fit_to_model",
    "model_from_json",
    "model_to_json",
    "resolve",
    "spec_from_json",
    "spec_to_json",
    "validate",
]
