"""Speed of what is done with images: batches, k-means, Grad-CAM, and the audit of many files."""

import resource
import tempfile
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd
import timing
from timing import AT_LEAST, AT_MOST, row


def batches() -> list[dict]:
    """An epoch of batches from the memory-mapped array, against JPEGs that are decoded in every epoch."""
    import keras
    import tensorflow as tf

    from lib.data import preprocess
    from lib.data.folder import decode
    from lib.models.features import Batches

    count, size, batch = 1280, 224, 32
    with tempfile.TemporaryDirectory() as temporary:
        folder, path = Path(temporary) / "jpegs", Path(temporary) / "images.npy"
        folder.mkdir()
        views = pd.DataFrame({"source": [path.name for path, _ in timing.pictures(folder, count)], "view": 0})
        preprocess.write_images(views, decode, folder, path, size, 0, 0.0, 0.0)
        mapped = Batches(preprocess.open_images(path), np.arange(count), np.zeros(count, int), batch, seed=0)
        decoded = keras.utils.image_dataset_from_directory(
            temporary, label_mode="int", image_size=(size, size), batch_size=batch, shuffle=True, verbose=False
        ).prefetch(tf.data.AUTOTUNE)
        calls = {
            "ours": lambda: [mapped[number] for number in range(len(mapped))],
            "copied": lambda: [tf.convert_to_tensor(mapped[number][0]) for number in range(len(mapped))],
            "baseline": lambda: [None for _ in decoded],
        }
        fast, copied, slow = (median(took) for took in timing.by_turns(calls, 3).values())
    what = f"an epoch of batches at {size} px: image_dataset_from_directory on 600 x 450 JPEGs / memory-mapped array"
    note = f"{count} images of {timing.source_of_pictures()}, {count / fast:.0f} against {count / slow:.0f} images/s; "
    note += f"with TensorFlow's copy of each batch {count / copied:.0f} images/s, {slow / copied:.1f} times"
    return [row("input", what, fast, slow, 20, AT_LEAST, note)]


def segmentation() -> list[dict]:
    """k-means and lesion masks, against scikit-learn's KMeans with its defaults on every pixel."""
    from sklearn.cluster import KMeans

    from lib.data.folder import decode
    from lib.explain import kmeans

    def on_every_pixel(image: np.ndarray, mask: Path) -> float:
        """Writes the mask by the same rule; returns the inertia."""
        fitted = KMeans(3, random_state=0).fit(image.reshape(-1, 3).astype(np.float32))
        labels = fitted.labels_.reshape(image.shape[:2]).astype(np.uint8)
        names = kmeans.name_clusters(labels, fitted.cluster_centers_)
        kmeans.write_mask(mask, (np.array(names) == kmeans.ABNORMAL)[labels])
        return fitted.inertia_

    count, inertia = 45, {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        files = timing.pictures(folder, count)
        images = {path.name: decode(path) for path, _ in files}
        index = pd.DataFrame({name: list(images) for name in ("source", "image_id", "group")})
        index["class"] = [label for _, label in files]

        def ours():
            table = kmeans.segment_files(index, images.__getitem__, {}, folder / "ours", {})
            inertia["ours"] = table["inertia"].to_numpy()

        def baseline():
            inertia["baseline"] = np.array([on_every_pixel(images[name], folder / f"{name}.png") for name in images])

        fast, slow = (took[0] / count for took in timing.by_turns({"ours": ours, "baseline": baseline}, 1).values())
    worse = inertia["ours"] / inertia["baseline"] - 1
    if worse.max() > 0.02:
        raise RuntimeError(f"the inertia is up to {worse.max():.1%} above scikit-learn's, more than 2 %")
    what = "k-means with k = 3 and the lesion mask, 600 x 450 px: KMeans of scikit-learn on every pixel / ours"
    note = f"{count} images of {timing.source_of_pictures()}; inertia {worse.min():+.2%} to {worse.max():+.2%} "
    return [row("kmeans", what, fast, slow, 10, AT_LEAST, note + "of scikit-learn's, over every pixel", "s an image")]


def explanation() -> list[dict]:
    """Grad-CAM in batches, against one image at a time with a model rebuilt for each, as in tutorials."""
    import cv2
    import keras
    import tensorflow as tf

    from lib.config.paper import CLASSES
    from lib.data import preprocess
    from lib.data.folder import decode
    from lib.explain import gradcam
    from lib.models import networks

    count, size = 256, 160
    backbone = networks.build_backbone("MobileNet", size, **timing.weights())
    head = networks.build_classifier(backbone.output_shape[-1], 9, 256, 0.15, 0.2, seed=0)
    full = networks.assemble(networks.build_extractor(backbone, "native", frozen=True), head)
    with tempfile.TemporaryDirectory() as temporary:
        files = timing.pictures(Path(temporary), count)
        images = np.stack([preprocess.resize(decode(path), size) for path, _ in files])
    features = keras.Model(full.input, full.get_layer("pool").output).predict(images, verbose=0)
    head.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", jit_compile=False)
    head.fit(features, np.array([CLASSES.index(label) for _, label in files]), epochs=10, verbose=0)
    classes = full.predict(images, verbose=0).argmax(axis=1)  # what 06_gradcam explains

    def one_map(image: np.ndarray, number: int) -> np.ndarray:
        """Equations 6 to 8 for one image, as in the Keras example: a model of maps and scores, built anew."""
        maps_model = keras.Model(full.input, full.get_layer("backbone").output)
        scores_model = keras.Model(head.input, head.get_layer("logits").output)
        with tf.GradientTape() as tape:
            maps = maps_model(image[None], training=False)
            tape.watch(maps)
            score = scores_model(keras.layers.GlobalMaxPooling2D()(maps), training=False)[0, number]
        weights = tf.reduce_mean(tf.cast(tape.gradient(score, maps), tf.float64), axis=(0, 1, 2))
        small = tf.nn.relu(tf.reduce_sum(tf.cast(maps[0], tf.float64) * weights, axis=-1)).numpy()
        return cv2.resize(small.astype(np.float32), (size, size), interpolation=cv2.INTER_LINEAR)

    gradcam.maps(full, images[:32], classes[:32])  # first calls, which both pay before
    one_map(images[0], int(classes[0]))
    maps = {}
    calls = {
        "ours": lambda: maps.update(ours=gradcam.maps(full, images, classes)),
        "baseline": lambda: maps.update(baseline=np.stack([one_map(i, int(c)) for i, c in zip(images, classes)])),
    }
    fast, slow = (took[0] for took in timing.by_turns(calls, 1).values())
    largest = maps["baseline"].max(axis=(1, 2), keepdims=True)
    # a map that is nearly empty is divided by a small number, and so are its rounding errors
    difference = np.abs(maps["ours"] - maps["baseline"] / np.where(largest > 0, largest, 1)).max(axis=(1, 2))
    if np.median(difference) > 1e-5:
        raise RuntimeError(f"the maps differ by {np.median(difference):.2g}, more than 1e-5")
    what = f"Grad-CAM of MobileNet at {size} px: one image at a time with a rebuilt model / in batches"
    note = f"{count} images of {timing.source_of_pictures()}; "
    note += f"{int((difference <= 1e-5).sum())} maps of 0..1 within 1e-5, the emptiest at most {difference.max():.1e}"
    return [row("gradcam", what, fast, slow, 5, AT_LEAST, note)]


def audit() -> list[dict]:
    """How the audit of a data set grows from 1,000 to 50,000 images, and the memory that 25,000 take."""
    small_count, large_count, memory_count = 1_000, 50_000, 25_000
    audit_of(small_count)  # imports and first calls
    small = median(timing.seconds(lambda: audit_of(small_count)) for _ in range(5))
    large = median(timing.seconds(lambda: audit_of(large_count)) for _ in range(3))
    expected = small * (large_count * np.log(large_count)) / (small_count * np.log(small_count))
    what = f"audit of {large_count:,} images (near-duplicates, groups, clean protocol, counts) / n log n from "
    note = f"synthetic digests; {small_count:,} images took {small:.2f} s"
    gib = timing.in_own_process("image_speed", "audit_memory", memory_count)
    return [
        row("audit_scaling", f"{what}{small_count:,}", large, expected, 1, AT_MOST, note),
        row(
            "audit_scaling", f"peak memory of the audit of {memory_count:,} images / 2 GiB", gib, 2, 1, AT_MOST,
            "the whole process, libraries included; synthetic digests and thumbnails", "GiB",
        ),
    ]  # fmt: skip


def audit_memory(count: int) -> float:
    """Peak memory of a process that audits so many images, GiB."""
    audit_of(count)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def audit_of(count: int) -> None:
    """What 01_audit does after the files are decoded, and the pool and the clean protocol of 02_prepare_data, on a
    made-up index with one image in twenty near another and one in fifty a copy."""
    from lib.audit.contents import dataset_audit
    from lib.config.paper import CLASSES
    from lib.config.params import Study
    from lib.data import duplicates
    from lib.data.pool import pool_views
    from lib.data.protocols import deal

    random, number, study = np.random.default_rng(count), np.arange(count), Study()
    hashes = random.integers(0, 2**64, count, dtype=np.uint64)
    thumbnails = random.integers(0, 256, (count, 64, 64), dtype=np.uint8)
    near = np.arange(0, count - 1, 20)
    hashes[near + 1] = hashes[near] ^ np.uint64(0b10010)
    thumbnails[near + 1] = thumbnails[near]
    index = pd.DataFrame(
        {
            "source": [f"Train/{n:06d}.jpg" for n in number],
            "image_id": [f"ISIC_{n:07d}" for n in number],
            "class": random.choice(CLASSES, count),
            "part": np.where(number % 20 == 7, "Test", "Train"),
            "content": [f"{n - (n % 50 == 49):064x}" for n in number],
            "phash": [f"{value:016x}" for value in hashes],
            "diagnosis": random.choice(["", "MEL", "NV", "BCC", "AK", "BKL", "DF", "VASC", "SCC"], count),
            "lesion_id": np.where(number % 3 == 0, "", [f"L{n // 2}" for n in number]),
        }
    )
    index = duplicates.add_groups(index, thumbnails, study.near_duplicate_bits, study.near_duplicate_difference)
    deal(index, pool_views(index, study.pool_sizes, study.pool_size_benign_malignant, 0), "clean", 0)
    dataset_audit(index, pd.DataFrame())
