//! ghmesh-seal.
