"""Jobs as bytes and back: the serializer with its envelope, the tags of JSON, and references to callables."""
