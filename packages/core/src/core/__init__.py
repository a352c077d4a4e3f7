"""Ground of Real3D-Portrait (distribution ``real3d-core``): geometry, rendering, losses, made people, training tools."""
