//! ghmesh-gateway.
