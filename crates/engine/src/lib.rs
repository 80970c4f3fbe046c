//! Core and storage joined, synchronously.
