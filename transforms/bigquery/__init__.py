"""BigQuery: tables, their schemas, and what writes rows to them."""
