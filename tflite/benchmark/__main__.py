"""Runs `python -m tflite.benchmark`."""

from tflite.benchmark.command import main

raise SystemExit(main())
