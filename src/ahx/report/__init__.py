"""Reports of runs, sweeps and studies: one HTML page each, with figures drawn by matplotlib."""
