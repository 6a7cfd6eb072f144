"""Tables: declared by a use case or by migrations, changed, partitioned, pruned and erased."""
