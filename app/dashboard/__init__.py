"""The page of the day: what needs somebody, what happens next by itself, and how things stand."""
