//! ghmesh-node.
