"""What commands print: tables for people."""
