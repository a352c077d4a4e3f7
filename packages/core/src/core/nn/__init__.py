"""Network parts shared by the stages: convolutions, SegFormer, StyleGAN2, super-resolution, discriminator."""
