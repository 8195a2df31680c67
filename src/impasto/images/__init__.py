"""Pictures in and out, their colours and masks, and the paintings that ship."""
