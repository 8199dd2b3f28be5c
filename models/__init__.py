"""What a model is: the bundle, how it runs on ONNX Runtime, how it is evaluated.

The modules stand in this order, and each imports only what stands before it: errors; files
(`model_files`, `tokenizer_files`, `fetch`, `locate`); `bundle`; `tokenize`; `onnx`; `verify`; then
what uses a model (`classifier`, `evaluate`, `plot`) or makes one (`export`).
"""
