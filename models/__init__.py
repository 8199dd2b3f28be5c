"""What a model is: the bundle, how it runs on ONNX Runtime, how it is evaluated."""
