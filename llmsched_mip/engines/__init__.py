"""Where work runs that is not done in this process: a Dask cluster, for cases of a study and for parts of `solve`."""
