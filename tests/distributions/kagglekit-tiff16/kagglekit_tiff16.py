"""Read TIFF files of 16-bit or floating-point numbers, as detectors write them.

The range of the numbers is unknown, so each image is stretched from its own 1st to its own 99th percentile.
"""

from kagglekit import hookimpl


@hookimpl
def kagglekit_read_image(path):
    if path.suffix.lower() not in (".tif", ".tiff"):
        return None
    import cv2
    import numpy as np

    pixels = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype not in (np.uint16, np.float32) or pixels.shape[2:] not in ((), (3,)):
        return None
    low, high = np.percentile(pixels, (1, 99))
    grey = (255 * (pixels.astype(np.float32) - low) / max(high - low, 1e-9)).clip(0, 255).round().astype(np.uint8)
    return cv2.cvtColor(grey, cv2.COLOR_BGR2RGB if grey.ndim == 3 else cv2.COLOR_GRAY2RGB)
