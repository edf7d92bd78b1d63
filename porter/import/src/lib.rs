//! Where models come from: folders, pip packages, the Hugging Face hub.
