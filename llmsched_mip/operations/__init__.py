"""From a plan to those who run it: orders handed over to engines, and how many workers it takes."""
