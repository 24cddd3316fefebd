"""A module a row of the table: `NAME`, `WORK`, `TARGET`, and `measure(bench)` that gives its lines."""
