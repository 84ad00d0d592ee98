"""Time, memory, operations and delegation of .tflite files: `python -m tflite.benchmark`."""
