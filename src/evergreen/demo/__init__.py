"""The demo: a tour through the whole loop of a use case, on its real parts, with every stage verified."""
