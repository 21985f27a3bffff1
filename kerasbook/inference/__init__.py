"""From a saved run to answers: `kerasbook predict runs/chapter3 shirt.png`.

In reading order: saved.py (the run's folder), models.py (its model as a function, in any format),
reading.py (what the user gave, as arrays), decoding.py (texts, symbol by symbol), answers.py; then
conversion.py (other formats) and card.py. An .onnx or .tflite file answers without TensorFlow.
"""
