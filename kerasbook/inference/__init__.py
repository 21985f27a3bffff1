"""From a saved run to answers: `kerasbook predict runs/chapter3 shirt.png`.

In reading order: saved.py (the run's folder), models.py (its model as a function, in any format),
reading.py (what the user gave, as arrays), decoding.py (texts, symbol by symbol), answers.py. Only
models.py imports TensorFlow, for formats that need it: an .onnx or a .tflite file answers without.
"""
