"""Reports and pictures: one self-contained page of studies and plans, tables, Gantt charts."""
