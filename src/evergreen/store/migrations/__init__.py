"""Changes of tables that hold rows: the numbered migrations, and how they are applied beside readers."""
