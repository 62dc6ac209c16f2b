"""How are the networks of Fig. 2 built, fed and trained?"""

# the backend first: the others import Keras, and it says where TensorFlow writes as that starts
from lib.models import backend, networks, training
from lib.models.features import Batches, extract_features, predict
from lib.models.networks import split_at_maps
from lib.models.outside import predict_outside

__all__ = [
    "Batches",
    "extract_features",
    "predict",
    "backend",
    "networks",
    "predict_outside",
    "split_at_maps",
    "training",
]
