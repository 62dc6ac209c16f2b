"""How are the networks of Fig. 2 built, fed and trained?"""

from lib.models import backend

backend.keep_c_output_out_of_notebooks()  # first: those below import Keras, and TensorFlow writes as it starts

from lib.models import networks, training  # noqa: E402
from lib.models.features import Batches, extract_features, predict  # noqa: E402
from lib.models.networks import split_at_maps  # noqa: E402
from lib.models.outside import predict_outside  # noqa: E402

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
