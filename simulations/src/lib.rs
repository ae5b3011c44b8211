//! ghmesh-simulations.
