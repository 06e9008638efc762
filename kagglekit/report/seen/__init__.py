"""What training saw, where a network looks, and the test images that it is most and least sure of."""
