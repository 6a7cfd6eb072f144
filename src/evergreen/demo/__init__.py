"""The guided tour: the whole loop on real parts, every stage verified."""
