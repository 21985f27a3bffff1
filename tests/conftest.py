"""For all tests: the CPU in four parts, as if there were four processors.

They must be cut before TensorFlow computes anything, so before any test. What runs on one device
runs on the first of them, with all cores as before.
"""

from kerasbook.training.devices import logical_devices

logical_devices(4, "CPU")
