"""Images a second of the training's input pipeline, beside what the model takes."""
