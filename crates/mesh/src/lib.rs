//! ghmesh-mesh.
