//! ghmesh-github-sim.
