"""What a deployment is made of: its facts, and the files that are written from them."""
