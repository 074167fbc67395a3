//! What the fuzz targets drive; compiled for them alone.
