//! What a real WooCommerce was seen to do.
